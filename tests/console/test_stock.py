"""The console without unfold: the same project on Django's own admin."""

from __future__ import annotations

import os
import subprocess
import sys


def test_the_project_checks_and_registers_its_pages_without_unfold():
    told = (
        "import django; django.setup()\n"
        "from django.contrib import admin\n"
        "from django.core.management import call_command\n"
        "from orchestration.models import Goal\n"
        "call_command('check')\n"
        "assert type(admin.site).__module__ == 'django.contrib.admin.sites'\n"
        "assert Goal in admin.site._registry\n"
        "from django.test import Client\n"
        "page = Client().get('/admin/login/').content.decode()\n"
        "assert 'console/reader.js' in page and 'unfold' not in page\n"
        "from django.template import loader\n"
        "for name in ('base_site', 'change_list', 'login'):\n"
        "    assert '/templates/site/' in loader.get_template(f'admin/{name}.html').origin.name\n"
    )
    settings = {"DJANGO_SETTINGS_MODULE": "tests.console.stock_settings"}
    done = subprocess.run(
        [sys.executable, "-c", told],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
