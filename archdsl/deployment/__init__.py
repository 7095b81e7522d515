"""The same network for deployment: a rewrite of the Model, before any code is written."""

from archdsl.deployment.definitions import DEFINITIONS, Reduction
from archdsl.deployment.deploy import Deployment, Origin, deploy

__all__ = ["DEFINITIONS", "Deployment", "Origin", "Reduction", "deploy"]
