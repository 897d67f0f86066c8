"""The web server's way in: `uvicorn agentsys.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from agentsys import embedded
from agentsys.garbage import pages_stay

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
embedded.ensure_or_exit()
application = get_asgi_application()
pages_stay()
