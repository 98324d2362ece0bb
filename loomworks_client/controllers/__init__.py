from . import first_login
