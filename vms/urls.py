"""The API's URLs: no prefix, no slash at the end."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from vms.documentation import DocsView, SchemaView
from vms.fallback import not_found
from vms.public_views import EnvironmentViewSet, HealthViewSet, LandingView, MachineTypeViewSet, ProblemViewSet
from vms.signin import SignInPage, SignOutPage
from vms.views import OperationViewSet, VMViewSet
from vms.vm_pages import VMPages

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("vm", VMViewSet, basename="vm")
router.register("operation", OperationViewSet, basename="operation")
router.register("environment", EnvironmentViewSet, basename="environment")
router.register("machinetype", MachineTypeViewSet, basename="machinetype")
router.register("problems", ProblemViewSet, basename="problem")

urlpatterns = [
    *router.urls,
    path("livez", HealthViewSet.as_view({"get": "livez"}), name="livez"),
    path("readyz", HealthViewSet.as_view({"get": "readyz"}), name="readyz"),
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", DocsView.as_view(url_name="schema"), name="docs"),
    path("", LandingView.as_view({"get": "show"}), name="landing"),
    path("signin", SignInPage.as_view({"get": "show", "post": "submit"}), name="signin"),
    path("signout", SignOutPage.as_view({"post": "submit"}), name="signout"),
    path("create", VMPages.as_view({"get": "form", "post": "submit"}), name="create"),
    path("vm/<str:id>/delete", VMPages.as_view({"get": "confirm", "post": "remove"}), name="delete"),
    # The last one takes everything else, so that an unknown URL is a problem document in debug, too.
    re_path("", not_found),
]
