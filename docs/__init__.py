"""What ``make docs`` makes of the code: the picture in README, and tables in the documents."""
