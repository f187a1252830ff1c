module github.com/tuike/tuike/bench/peers/go

go 1.22

require github.com/gomodule/redigo v1.9.3
