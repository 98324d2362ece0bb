"""Looks after the database server in the same pod: roles, the repository, and work that the control plane asks for."""
