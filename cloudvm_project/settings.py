"""Every setting of the service, and every environment variable that it reads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cloudvm_project import __version__
from cloudvm_project.variables import FLAG, HOSTS, NETWORKS, PATH, TEXT, Variables, choice, count, seconds
from providers.gateway import Limits
from providers.network import network_from, proxy_faults
from providers.work import Times

BASE_DIR = Path(__file__).resolve().parent.parent
_variables = Variables(os.environ)
_read = _variables.read

# ---- What the service reads from its environment; the README describes each.
CLOUDVM_ENVIRONMENTS_FILE = _read("CLOUDVM_ENVIRONMENTS_FILE", PATH, BASE_DIR / "fixtures/environments.json")
CLOUDVM_MACHINETYPES_FILE = _read("CLOUDVM_MACHINETYPES_FILE", PATH, BASE_DIR / "fixtures/machinetypes.json")
CLOUDVM_SECRET_KEY = _read("CLOUDVM_SECRET_KEY", TEXT, "")
CLOUDVM_ALLOWED_HOSTS = _read("CLOUDVM_ALLOWED_HOSTS", HOSTS, ("localhost", "127.0.0.1", "[::1]"))
CLOUDVM_DEBUG = _read("CLOUDVM_DEBUG", FLAG, default=False)
CLOUDVM_REQUIRE_HTTPS = _read("CLOUDVM_REQUIRE_HTTPS", FLAG, default=False)
CLOUDVM_TRUSTED_PROXIES = _read("CLOUDVM_TRUSTED_PROXIES", NETWORKS, ())
CLOUDVM_REQUEST_DEADLINE_SECONDS = _read("CLOUDVM_REQUEST_DEADLINE_SECONDS", seconds(least=1, most=86400), 900.0)
CLOUDVM_CONNECT_TIMEOUT_SECONDS = _read("CLOUDVM_CONNECT_TIMEOUT_SECONDS", seconds(least=0.1, most=600), 5.0)
CLOUDVM_READ_TIMEOUT_SECONDS = _read("CLOUDVM_READ_TIMEOUT_SECONDS", seconds(least=0.1, most=3600), 60.0)
CLOUDVM_REQUESTS_PER_ENVIRONMENT = _read("CLOUDVM_REQUESTS_PER_ENVIRONMENT", count(least=1, most=10_000), 48)
CLOUDVM_CLEAN_UP_SECONDS = _read("CLOUDVM_CLEAN_UP_SECONDS", seconds(least=1, most=3600), 60.0)
CLOUDVM_CHANGES_PER_ENVIRONMENT = _read("CLOUDVM_CHANGES_PER_ENVIRONMENT", count(least=1, most=10_000), 128)
CLOUDVM_ANSWER_MEMORY_MIB = _read("CLOUDVM_ANSWER_MEMORY_MIB", count(least=16, most=1_048_576), 512)
CLOUDVM_FIRST_POLL_DELAY_SECONDS = _read("CLOUDVM_FIRST_POLL_DELAY_SECONDS", seconds(least=0.01, most=5), 0.2)
CLOUDVM_LOG_LEVEL = _read("CLOUDVM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
CLOUDVM_LOG_FORMAT = _read("CLOUDVM_LOG_FORMAT", choice("json", "text"), "json")
# Beside these: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE.
CLOUDVM_NETWORK = network_from(
    os.environ,
    connect_timeout_seconds=CLOUDVM_CONNECT_TIMEOUT_SECONDS,
    read_timeout_seconds=CLOUDVM_READ_TIMEOUT_SECONDS,
)
CLOUDVM_LIMITS = Limits(
    requests_per_environment=CLOUDVM_REQUESTS_PER_ENVIRONMENT,
    changes_per_environment=CLOUDVM_CHANGES_PER_ENVIRONMENT,
    answer_memory_mib=CLOUDVM_ANSWER_MEMORY_MIB,
    times=Times(CLOUDVM_FIRST_POLL_DELAY_SECONDS, CLOUDVM_CLEAN_UP_SECONDS),
)

MISTYPED_VARIABLES = _variables.mistyped("CLOUDVM_")
PROXY_FAULTS = proxy_faults(os.environ)

if _variables.faults:
    sys.exit("\n".join(_variables.faults))

# ---- Django
DEBUG = CLOUDVM_DEBUG
# Without a key the service does not start (see vms.checks); in debug one is made up at each start.
SECRET_KEY = CLOUDVM_SECRET_KEY or (os.urandom(32).hex() if DEBUG else "")
ALLOWED_HOSTS = list(CLOUDVM_ALLOWED_HOSTS)
ROOT_URLCONF = "cloudvm_project.urls"
WSGI_APPLICATION = "cloudvm_project.wsgi.application"
DATABASES: dict[str, dict[str, str]] = {}
INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "vms",
    "providers",
]
MIDDLEWARE = [
    "vms.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "vms.csrf.CsrfCookieMiddleware",
    "vms.middleware.GuardMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CSRF_COOKIE_NAME = "cloudvm-csrf"
APPEND_SLASH = False
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
# The largest body that is read; cloud-init of every cloud fits in as base64.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# ---- Static files: the documentation's and the pages'; served from where the packages have them, nothing is collected.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MANIFEST_STRICT = False

# ---- Browsers
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_HSTS_SECONDS = 365 * 24 * 3600
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    # CSRF protection: a Bearer token is a header that no other site can send. Where a cookie lets a browser in,
    # vms.csrf checks Django's CSRF token and Fetch Metadata; its middleware is Django's under a name of our own.
    "security.W003",
    # Redirecting plain HTTP would come too late, as the token has been sent; CLOUDVM_REQUIRE_HTTPS refuses it instead.
    "security.W008",
    # Strict Transport Security for subdomains and preloading: this service cannot speak for its domain.
    "security.W005",
    "security.W021",
]

# ---- The API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "vms.authentication.CloudTokenAuthentication",
        "vms.authentication.SignInAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["vms.authentication.HasCredentials"],
    "DEFAULT_RENDERER_CLASSES": ["vms.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["vms.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "vms.renderers.LenientNegotiation",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "vms.problems.exception_handler",
    # There are no users; `request.auth` holds the credentials.
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CloudVM API",
    "DESCRIPTION": "One API for virtual machines on AWS, Azure, ESXi/vSphere, Nutanix and Proxmox VE.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.1",
    "TAGS": [
        {"name": "vm", "description": "Virtual machines of one environment."},
        {"name": "operation", "description": "Work that went on when its request was answered."},
        {"name": "environment", "description": "Where VMs can live."},
        {"name": "machinetype", "description": "What VMs can be."},
        {"name": "problems", "description": "The catalogue of errors."},
        {"name": "health", "description": "For whoever watches the process."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    # The schema is for programs: browsers' pages and cookies are none of its business.
    "AUTHENTICATION_WHITELIST": ["vms.authentication.CloudTokenAuthentication"],
    "RENDERER_WHITELIST": ["vms.renderers.JSONRenderer", "rest_framework.renderers.TemplateHTMLRenderer"],
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "PREPROCESSING_HOOKS": ["vms.openapi.preprocess"],
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "vms.openapi.postprocess"],
}

# ---- Logs: one stream, one format, every line redacted by value. What libraries say below WARNING may hold request
# bodies, and so secrets; they are pinned there whatever the service's own level is.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "vms.logs.JSONFormatter"},
        "text": {"()": "vms.logs.TextFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": CLOUDVM_LOG_FORMAT}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "cloudvm": {"level": CLOUDVM_LOG_LEVEL},
        "django": {"level": "WARNING", "handlers": [], "propagate": True},
        # Every answer has a line of our own, and crashes are logged where they are caught.
        "django.request": {"level": "CRITICAL"},
        # A log-in that fails is told by the answer, and by a line of our own.
        "azure.identity": {"level": "CRITICAL"},
        **{
            library: {"level": "WARNING"}
            for library in (
                *("boto3", "botocore", "s3transfer", "proxmoxer", "pycdlib", "urllib3", "requests", "asyncio"),
                *("azure", "msal"),
            )
        },
        # It warns of each request that is no HTTP, of which a caller can send any number.
        "uvicorn": {"level": "ERROR"},
    },
}
