"""What is done beside booking: upkeep, which the cron calls every minute. It consists of parts."""
