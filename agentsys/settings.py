"""Django's settings. Values come from the environment; `.env.example` lists them all."""

from __future__ import annotations

import environ

from agentsys import conf, logs

env = environ.Env()
BASE_DIR = conf.ROOT
if (BASE_DIR / ".env").exists():  # it would log that it is not
    environ.Env.read_env(BASE_DIR / ".env")
AGENTSYS = conf.load()

DEBUG = env.bool("DEBUG", default=False)
TESTING = env.bool("TESTING", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or conf.local_secret(AGENTSYS.home)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    *conf.installed("unfold"),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "agentsys.gateway",
    "memory",
    "workers",
    "verification",
    "orchestration",
    "agentsys",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "agentsys.static.StaticFiles",
    "orchestration.api.sound.sound_text",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "orchestration.reading.as_read",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "agentsys.urls"
ASGI_APPLICATION = "agentsys.asgi.application"
WSGI_APPLICATION = "agentsys.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "orchestration" / "templates" / "site"],  # before those of the admin
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The embedded server listens on a unix socket: postgresql:///NAME?host=/folder&user=NAME
DATABASES = {
    "default": conf.database(
        env.str("DATABASE_URL", default=""), lease_seconds=AGENTSYS.lease_seconds
    )
}
REDIS_URL = env.str("REDIS_URL", default="")

# Mails to subscribers (`mailto:`): smtp://USER:PASSWORD@HOST:25, smtp+tls:// or smtp+ssl://. Unset: none.
EMAIL_URL = env.str("EMAIL_URL", default="")
vars().update(env.email_url("EMAIL_URL") if EMAIL_URL else {"EMAIL_HOST": ""})
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="agentsys@localhost")

STATIC_URL = "static/"
STATIC_ROOT = AGENTSYS.home / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True

# For the console's theme, where it is installed; the console works without it.
UNFOLD = {
    "SITE_TITLE": "agentsys",
    "SITE_HEADER": "agentsys",
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # of the console; the API is in English
FORMAT_MODULE_PATH = ["orchestration.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]

# Behind TLS (TLS=1) cookies are secure and browsers are told to stay on https. On a laptop the
# console is plain http on loopback.
TLS = env.bool("TLS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = TLS
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TLS else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["orchestration.api.rendering.LeanJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["orchestration.api.parsing.SoundJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["orchestration.api.throttling.PerCaller"],
    "EXCEPTION_HANDLER": "orchestration.api.problems.handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "agentsys",
    "VERSION": "1",
    "DESCRIPTION": "Goals, plans, tasks, approvals, memory and the ledger.",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orchestration.api.documents.changes_documented",
    ],
}
REST_KNOX = {"TOKEN_TTL": None, "AUTO_REFRESH": False}

# --- Celery: a message is a doorbell; what each setting guards against is in docs/celery.md ------

VISIBILITY_TIMEOUT_SECONDS = 3600
CELERY_BROKER_URL, CELERY_RESULT_BACKEND = conf.celery_urls(REDIS_URL)
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_SOFT_TIME_LIMIT = 1380
CELERY_TASK_TIME_LIMIT = 1500
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_TASK_ALLOW_ERROR_CB_ON_CHORD_HEADER = True
CELERY_TASK_PUBLISH_RETRY = (
    False  # rows are the outbox: an unsent message is sent by the next sweep
)
CELERY_TASK_REPR_MAXLEVELS = 1
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # a redelivered copy is a no-op
CELERY_WORKER_MAX_TASKS_PER_CHILD = 2000
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = 10
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 3,
    "max_retries": 1,  # an absent broker must not hold up whoever publishes
    "interval_start": 0,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "global_keyprefix": env.str("REDIS_KEYPREFIX", default="agentsys:"),
}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "global_keyprefix": CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"],
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.1},
}
CELERY_VISIBILITY_TIMEOUT = VISIBILITY_TIMEOUT_SECONDS
CELERY_RESULT_BACKEND_THREAD_SAFE = True
CELERY_RESULT_EXPIRES = 86_400
CELERY_RESULT_CHORD_JOIN_TIMEOUT = 30
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "orchestration.sweep", "schedule": 15.0},
    "memory-maintain": {"task": "memory.maintain", "schedule": 3600.0},
    "score": {"task": "orchestration.score", "schedule": 3600.0},
}

LOGGING = logs.config(level=AGENTSYS.log_level, form=AGENTSYS.log_format)
