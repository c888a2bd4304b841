// Program: redigo
// Needs: apt golang-github-gomodule-redigo-dev=1.8
// Needs: apt golang-go
// Build: GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE="$BUILD/cache" go build -o "$BUILD/redigo" "$FILE"
// Run: "$BUILD/redigo"
// Exercises: commands into Go's types, pipelines, transactions, scripts, scans, a pool with limits and health checks, subscriptions, time-outs, many goroutines
package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

var asserted int

func same(got, expected interface{}) {
	if !reflect.DeepEqual(got, expected) {
		panic(fmt.Sprintf("%#v where %#v was expected", got, expected))
	}
	asserted++
}

func fails(text string, err error) {
	if err == nil || !strings.Contains(err.Error(), text) {
		panic(fmt.Sprintf("%v where %s was expected", err, text))
	}
	asserted++
}

// What a call answered that must not fail.
func must(reply interface{}, err error) interface{} {
	if err != nil {
		panic(err)
	}
	return reply
}

func until(what string, holds func() bool) {
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("waited in vain: " + what)
		}
	}
}

var address = "127.0.0.1:" + os.Getenv("PORT")

func connected(options ...redis.DialOption) redis.Conn {
	return must(redis.Dial("tcp", address, options...)).(redis.Conn)
}

func commands() {
	c, other := connected(), connected()
	defer c.Close()
	defer other.Close()
	must(c.Do("FLUSHALL"))
	same(must(c.Do("SET", "text", "hello", "EX", 100)), "OK")
	same(must(c.Do("SET", "text", "again", "NX")), nil)
	same(must(redis.String(c.Do("GET", "text"))), "hello")
	_, err := redis.String(c.Do("GET", "none"))
	same(err, redis.ErrNil)
	same(must(redis.Float64(c.Do("INCRBYFLOAT", "float", 1.5))), 1.5)
	same(must(redis.Strings(c.Do("MGET", "text", "none"))), []string{"hello", ""})
	_, err = c.Do("LPUSH", "text", 1)
	same(err, redis.Error("WRONGTYPE Operation against a key holding the wrong kind of value"))
	// A structure goes into a hash and comes back.
	type place struct {
		Name  string  `redis:"name"`
		Score float64 `redis:"score"`
		Open  bool    `redis:"open"`
	}
	stored, read := place{"Palermo", 2.5, true}, place{}
	must(c.Do("HSET", redis.Args{}.Add("hash").AddFlat(stored)...))
	if err := redis.ScanStruct(must(redis.Values(c.Do("HGETALL", "hash"))).([]interface{}), &read); err != nil {
		panic(err)
	}
	same(read, stored)
	must(c.Do("ZADD", "scores", 1, "one", 2, "two"))
	same(must(redis.Int64Map(c.Do("ZRANGE", "scores", 0, -1, "WITHSCORES"))), map[string]int64{"one": 1, "two": 2})
	must(c.Do("GEOADD", "places", 13.361389, 38.115556, "Palermo"))
	positions, _ := redis.Positions(c.Do("GEOPOS", "places", "Palermo", "none"))
	same([]bool{positions[0] != nil, positions[1] == nil}, []bool{true, true})

	for n := 0; n < 1000; n++ {
		c.Send("INCR", "n")
	}
	c.Send("LPUSH", "n", 1)
	c.Flush()
	for n := int64(1); n <= 1000; n++ {
		if reply := must(c.Receive()); reply != n {
			panic(reply)
		}
	}
	_, err = c.Receive()
	fails("WRONGTYPE", err)
	c.Send("MULTI")
	c.Send("INCR", "n")
	c.Send("LPUSH", "n", 1)
	replies := must(redis.Values(c.Do("EXEC"))).([]interface{})
	same(replies, []interface{}{int64(1001), redis.Error("WRONGTYPE Operation against a key holding the wrong kind of value")})
	must(c.Do("WATCH", "n"))
	must(other.Do("INCR", "n"))
	c.Send("MULTI")
	c.Send("SET", "n", 0)
	same(must(c.Do("EXEC")), nil)

	script := redis.NewScript(1, "return {KEYS[1], ARGV[1] + 1}")
	for round := 0; round < 2; round++ {
		same(must(script.Do(c, "key", 41)), []interface{}{[]byte("key"), int64(42)})
		must(c.Do("SCRIPT", "FLUSH"))
	}
	script.SendHash(c, "key", 1)
	c.Flush()
	_, err = c.Receive()
	fails("NOSCRIPT", err)
}

func scans() {
	c := connected()
	defer c.Close()
	for n := 0; n < 5000; n++ {
		c.Send("SET", fmt.Sprint("scan:", n), n)
	}
	c.Do("")
	found, cursor := map[string]bool{}, "0"
	for more := true; more; more = cursor != "0" {
		page := must(redis.Values(c.Do("SCAN", cursor, "MATCH", "scan:*", "COUNT", 100))).([]interface{})
		var keys []string
		must(redis.Scan(page, &cursor, &keys))
		for _, key := range keys {
			found[key] = true
		}
	}
	same(len(found), 5000)
}

func pools() {
	checks := 0
	pool := &redis.Pool{
		MaxIdle: 4, MaxActive: 4, Wait: true,
		Dial: func() (redis.Conn, error) { return redis.Dial("tcp", address, redis.DialClientName("pooled")) },
		TestOnBorrow: func(c redis.Conn, _ time.Time) error {
			_, err := c.Do("PING")
			if err != nil {
				checks++
			}
			return err
		},
	}
	var group sync.WaitGroup
	for n := 0; n < 200; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			c := pool.Get()
			defer c.Close()
			must(c.Do("INCR", "sum"))
		}()
	}
	group.Wait()
	c := connected()
	defer c.Close()
	same(must(redis.Int(c.Do("GET", "sum"))), 200)
	clients := must(redis.String(c.Do("CLIENT", "LIST"))).(string)
	same([]int{pool.ActiveCount(), strings.Count(clients, "name=pooled")}, []int{pool.IdleCount(), pool.IdleCount()})
	// All of them are taken.
	taken := []redis.Conn{pool.Get(), pool.Get(), pool.Get(), pool.Get()}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := pool.GetContext(ctx)
	same(err, context.DeadlineExceeded)
	// One goes back in a transaction, and with subscriptions: it is cleaned.
	taken[0].Do("MULTI")
	taken[1].Send("SUBSCRIBE", "news")
	for _, used := range taken {
		must(used.Do(""))
		used.Close()
	}
	used := pool.Get()
	same(must(redis.String(used.Do("PING"))), "PONG")
	used.Close()
	until("nobody subscribes", func() bool {
		return must(redis.IntMap(c.Do("PUBSUB", "NUMSUB", "news"))).(map[string]int)["news"] == 0
	})
	// Those that were killed are found when they are borrowed, and replaced.
	must(c.Do("CLIENT", "KILL", "TYPE", "normal"))
	used = pool.Get()
	same(must(redis.String(used.Do("PING"))), "PONG")
	same(checks > 0, true)
	used.Close()
	pool.Close()
	fails("get on closed pool", pool.Get().Err())
}

func subscriptions() {
	c := connected()
	defer c.Close()
	subscriber := redis.PubSubConn{Conn: connected()}
	defer subscriber.Close()
	if err := subscriber.Subscribe("news", "weather"); err != nil {
		panic(err)
	}
	subscriber.PSubscribe("n*")
	got := make(chan string, 100)
	go func() {
		for {
			switch message := subscriber.Receive().(type) {
			case redis.Message:
				got <- message.Pattern + " " + message.Channel + " " + string(message.Data)
			case redis.Subscription:
				got <- fmt.Sprint(message.Kind, " ", message.Channel, " ", message.Count)
			case redis.Pong:
				got <- "pong " + message.Data
			case error:
				close(got)
				return
			}
		}
	}()
	expect := func(texts ...string) {
		for _, text := range texts {
			same(<-got, text)
		}
	}
	expect("subscribe news 1", "subscribe weather 2", "psubscribe n* 3")
	same(must(c.Do("PUBLISH", "news", "hello")), int64(2))
	expect(" news hello", "n* news hello")
	subscriber.Ping("alive")
	expect("pong alive")
	subscriber.Unsubscribe("news")
	expect("unsubscribe news 2")
	same(must(c.Do("CLIENT", "KILL", "TYPE", "pubsub")), int64(1))
	_, open := <-got
	same(open, false)
}

func timeouts() {
	c := connected()
	defer c.Close()
	// A worker waits for longer than its other commands may take.
	worker := connected(redis.DialReadTimeout(50 * time.Millisecond))
	got := make(chan interface{})
	go func() {
		reply, _ := redis.Strings(redis.DoWithTimeout(worker, 20*time.Second, "BLPOP", "queue", 0))
		got <- reply
	}()
	until("the worker waits", func() bool {
		return strings.Contains(must(redis.String(c.Do("INFO", "clients"))).(string), "blocked_clients:1")
	})
	must(c.Do("RPUSH", "queue", "job"))
	same(<-got, []string{"queue", "job"})
	_, err := worker.Do("BLPOP", "queue", 5)
	fails("i/o timeout", err)
	fails("i/o timeout", worker.Err())
	_, err = redis.Dial("tcp", address, redis.DialPassword("wrong"))
	fails("ERR AUTH <password> called without any password configured", err)
	in3 := must(redis.DialURL("redis://" + address + "/3")).(redis.Conn)
	must(in3.Do("SET", "in", "three"))
	same(must(c.Do("EXISTS", "in")), int64(0))
	_, err = redis.Dial("tcp", "127.0.0.1:1")
	fails("connection refused", err)
}

func main() {
	commands()
	scans()
	pools()
	subscriptions()
	timeouts()
	fmt.Println(asserted, "results as expected")
}
