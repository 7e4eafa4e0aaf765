"""The WSGI application for servers other than `manage.py serve`."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudvm_project.settings")

from vms.server.application import make_application, start_warm_up

application = make_application()
start_warm_up()
