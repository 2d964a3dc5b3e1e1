"""Figures of finished stories, read off their films."""
