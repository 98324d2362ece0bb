# Everything starts here: `make` explains itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help

STACK := PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(CURDIR)/infrastructure/dev python3 -m stack

.PHONY: help up status down reset logs dev

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

up: ## bring up the whole stack (or use the cluster of KUBECONFIG), and say where it is
	@$(STACK) up

status: ## show processes, nodes, pods, volumes and addresses
	@$(STACK) status

down: ## stop everything; nothing is left on the machine but build/dev and the cache
	@$(STACK) down

reset: ## down, and delete build/dev; what was built stays in the cache
	@$(STACK) reset

logs: ## show the ends of all logs, or follow one: make logs NAME=kubelet
	@$(STACK) logs $(NAME)

dev: ## run the control plane from source on this machine, with reload
	@$(STACK) dev

include make/tests.mk make/bench.mk
