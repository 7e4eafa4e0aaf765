"""Every URL of the service is the API's."""

from django.urls import include, path

urlpatterns = [path("", include("vms.urls"))]
