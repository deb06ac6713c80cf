"""Test-time adaptation of networks to a clip."""
