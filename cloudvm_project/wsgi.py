"""The WSGI application, as the production server runs it."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudvm_project.settings")

from vms.server import make_application

application = make_application()
