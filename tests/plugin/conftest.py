collect_ignore = ["project"]  # for the runs of pytest that the tests here start
