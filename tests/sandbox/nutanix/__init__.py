"""Tests of the Nutanix simulator, over its own protocols."""
