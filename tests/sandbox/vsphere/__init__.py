"""Tests of the vSphere simulator, over its own protocol."""
