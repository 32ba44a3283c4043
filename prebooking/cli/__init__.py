"""The operator's commands (extra ``cli``). Nothing here is deployed, and nothing deployed imports it."""
