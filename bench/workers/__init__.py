"""Programs that run in the peers' environments: each stands alone and imports nothing of this package."""
