"""The operator's page: the data of GET /api/status, without any member's whole address."""
