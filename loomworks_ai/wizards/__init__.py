from . import agent_key, undo
