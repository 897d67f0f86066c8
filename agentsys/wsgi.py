"""The web server's way in: `gunicorn agentsys.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from agentsys import embedded
from agentsys.garbage import pages_stay

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
embedded.ensure_or_exit()
application = get_wsgi_application()
pages_stay()
