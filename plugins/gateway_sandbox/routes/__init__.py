"""The routes of the wire, by topic."""

from .admin import ADMIN
from .chats import CHATS
from .completions import COMPLETIONS
from .files import FILES
from .media import MEDIA
from .models import MODELS
from .tasks import TASKS

__all__ = ["ROUTES"]

ROUTES = [*CHATS, *COMPLETIONS, *TASKS, *FILES, *MEDIA, *MODELS, *ADMIN]
