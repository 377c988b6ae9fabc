module closing

go 1.24
