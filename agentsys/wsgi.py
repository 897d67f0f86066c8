"""The web server's way in: `gunicorn agentsys.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from agentsys import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
embedded.ensure_or_exit()
application = get_wsgi_application()
