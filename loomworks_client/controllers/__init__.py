from . import first_login, volume
