// Pixels in Go as most people would write them, for the benchmark.
//
//	pixel [-redis ADDRESS] PORT
//
// It looks at two parameters and answers the GIF. With -redis each hit is recorded by one transaction, sent on a
// pooled connection by a goroutine of its own; the answer does not wait for it (fire and forget).
package main

import (
	"flag"
	"log"
	"net/http"
	"net/url"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	poolSize     = 64
	streamLength = 100_000
)

var gif = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00," +
	"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

func main() {
	address := flag.String("redis", "", "record each hit in the Redis at this address")
	flag.Parse()
	record := func(*http.Request, url.Values) {}
	if *address != "" {
		record = recorder(*address)
	}
	http.HandleFunc("/p.gif", func(writer http.ResponseWriter, request *http.Request) {
		query := request.URL.Query()
		if query.Get("aff") == "" || query.Get("pid") == "" {
			http.Error(writer, "aff and pid are needed", http.StatusBadRequest)
			return
		}
		record(request, query)
		header := writer.Header()
		header.Set("Content-Type", "image/gif")
		header.Set("Cache-Control", "no-store")
		if _, err := writer.Write(gif); err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+flag.Arg(0), nil))
}

// recorder counts the hit, counts it by promoter and product, and appends it to a stream for a batch job.
func recorder(address string) func(*http.Request, url.Values) {
	pool := &redis.Pool{
		MaxIdle:   poolSize,
		MaxActive: poolSize,
		Wait:      true,
		Dial:      func() (redis.Conn, error) { return redis.Dial("tcp", address) },
	}
	return func(request *http.Request, query url.Values) {
		aff, pid, sub1 := query.Get("aff"), query.Get("pid"), query.Get("sub1")
		agent, peer := request.UserAgent(), request.RemoteAddr
		now := time.Now().UTC()
		go func() {
			connection := pool.Get()
			defer connection.Close()
			connection.Send("MULTI")
			connection.Send("INCR", "hits")
			connection.Send("HINCRBY", "hits:"+now.Format(time.DateOnly)+":"+aff, pid, 1)
			connection.Send("XADD", "events", "MAXLEN", "~", streamLength, "*",
				"at", now.UnixMilli(), "aff", aff, "pid", pid, "sub1", sub1, "ip", peer, "ua", agent)
			if _, err := connection.Do("EXEC"); err != nil {
				log.Print(err)
			}
		}()
	}
}
