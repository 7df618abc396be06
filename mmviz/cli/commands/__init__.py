"""One file a command: ``add`` adds its parser, and ``options.run`` runs it."""
