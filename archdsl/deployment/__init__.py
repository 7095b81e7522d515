"""The same network for deployment: a rewrite of the Model, before any code is written."""

from archdsl.deployment.deploy import Deployment, Origin, deploy
from archdsl.deployment.pages import PAGES, Reduction

__all__ = ["PAGES", "Deployment", "Origin", "Reduction", "deploy"]
