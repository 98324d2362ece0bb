from . import models, wizards
from .models.ir_model import uninstall_hook
