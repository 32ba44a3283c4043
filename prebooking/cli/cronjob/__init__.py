"""The jobs at cron-job.org that call the functions, through its REST API: https://docs.cron-job.org/rest-api.html."""
