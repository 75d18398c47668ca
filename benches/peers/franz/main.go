// The Go client franz-go passing records through: what benches/pipeline.rs runs as a third contender
// (`--peer FILE`). Nothing is cleaned; key, headers, timestamp and partition are kept, lz4, a commit
// a second of what was delivered.
//
//	peer-franz BROKERS RAW CLEAN RECORDS    one line of figures on stdout
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "peer-franz BROKERS RAW CLEAN RECORDS")
		os.Exit(2)
	}
	records, err := strconv.ParseInt(os.Args[4], 10, 64)
	check(err)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(os.Args[1]),
		kgo.ConsumerGroup(fmt.Sprintf("bench-franz-%d", time.Now().UnixNano())),
		kgo.ConsumeTopics(os.Args[2]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Once a second, what the producer's promises have marked as delivered.
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(time.Second),
		kgo.FetchMaxBytes(16<<20),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerBatchMaxBytes(1_000_000),
		kgo.ProducerLinger(10*time.Millisecond),
		// Room as limpid has it; the client's default of 10,000 records would be the bottleneck.
		kgo.MaxBufferedRecords(100_000),
	)
	check(err)
	passThrough(client, os.Args[3], records)
}

func passThrough(client *kgo.Client, clean string, records int64) {
	context := context.Background()
	var delivered atomic.Int64
	first, last := make(chan mark, 1), make(chan mark, 1)
	for taken := int64(0); taken < records; {
		fetches := client.PollRecords(context, 2048)
		for _, fault := range fetches.Errors() {
			check(fault.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			taken++
			client.Produce(context, &kgo.Record{
				Topic: clean, Partition: record.Partition, Key: record.Key, Value: record.Value,
				Headers: record.Headers, Timestamp: record.Timestamp,
			}, func(_ *kgo.Record, err error) {
				check(err)
				client.MarkCommitRecords(record)
				switch now := delivered.Add(1); now {
				case records / 10:
					first <- markOf(now)
				case records - records/10:
					last <- markOf(now)
				}
			})
		})
	}
	check(client.Flush(context))
	check(client.CommitMarkedOffsets(context))
	begin, end := <-first, <-last
	million := float64(end.records-begin.records) / 1e6
	check(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"records_per_second":      million * 1e6 / end.at.Sub(begin.at).Seconds(),
		"cpu_seconds_per_million": (end.cpu - begin.cpu).Seconds() / million,
	}))
	client.Close()
}

// A moment of the run.
type mark struct {
	at      time.Time
	cpu     time.Duration
	records int64
}

func markOf(records int64) mark {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return mark{time.Now(), time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), records}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer-franz:", err)
		os.Exit(1)
	}
}
