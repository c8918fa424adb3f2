"""The bus: the central object of an application, its parts and its life."""
