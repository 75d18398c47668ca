// Bloblang over a file of JSON lines, as Redpanda Connect runs it: a message of raw bytes, the
// mapping, bytes again. One thread.
//
//	peer-bloblang web|audit FILE ROUNDS        one line of figures on stdout
//	peer-bloblang web|audit FILE out OUTPUT    the clean lines
//	peer-bloblang corners FILE each            what a stream makes of each line
package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	// The methods that Connect's mappings have.
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

//go:embed web.blobl audit.blobl corners.blobl
var mappings embed.FS

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "peer-bloblang web|audit FILE ROUNDS | out OUTPUT")
		os.Exit(2)
	}
	corpus, file, what := os.Args[1], os.Args[2], os.Args[3]
	text, err := os.ReadFile(file)
	check(err)
	if what == "each" {
		stream(corpus, bytes.Split(bytes.TrimSpace(text), []byte("\n")))
		return
	}
	mapping := parse(corpus)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if what == "out" {
		var out bytes.Buffer
		for _, line := range lines {
			clean(mapping, line, &out)
			out.WriteByte('\n')
		}
		check(os.WriteFile(os.Args[4], out.Bytes(), 0o644))
		return
	}
	rounds, err := strconv.Atoi(what)
	check(err)
	size, seconds := 0, []float64{}
	for _, line := range lines {
		size += len(line)
	}
	for range rounds {
		seconds = append(seconds, timed(mapping, lines))
	}
	figures := map[string]any{
		"peer": "bloblang", "corpus": corpus, "bytes": size, "records": len(lines), "seconds": seconds,
	}
	check(json.NewEncoder(os.Stdout).Encode(figures))
}

// Prints what comes out of a stream whose one processor is the mapping, as a topic would get it.
func stream(corpus string, lines [][]byte) {
	source, err := mappings.ReadFile(corpus + ".blobl")
	check(err)
	builder := service.NewStreamBuilder()
	check(builder.SetLoggerYAML("level: NONE"))
	check(builder.AddProcessorYAML("mapping: " + strconv.Quote(string(source))))
	produce, err := builder.AddProducerFunc()
	check(err)
	number := 0
	check(builder.AddConsumerFunc(func(_ context.Context, message *service.Message) error {
		number++
		body, err := message.AsBytes()
		check(err)
		failed := ""
		if message.GetError() != nil {
			failed = " (failed: " + message.GetError().Error() + ")"
		}
		fmt.Printf("%d: %s%s\n", number, body, failed)
		return nil
	}))
	built, err := builder.Build()
	check(err)
	go func() {
		for _, line := range lines {
			check(produce(context.Background(), service.NewMessage(line)))
		}
		check(built.StopWithin(10 * time.Second))
	}()
	check(built.Run(context.Background()))
}

func parse(corpus string) *bloblang.Executor {
	source, err := mappings.ReadFile(corpus + ".blobl")
	check(err)
	mapping, err := bloblang.Parse(string(source))
	check(err)
	return mapping
}

func clean(mapping *bloblang.Executor, line []byte, out *bytes.Buffer) {
	mapped, err := service.NewMessage(line).BloblangQuery(mapping)
	check(err)
	encoded, err := mapped.AsBytes()
	check(err)
	out.Write(encoded)
}

// Seconds of CPU for all lines; the output is emptied every 512, as limpid's is.
func timed(mapping *bloblang.Executor, lines [][]byte) float64 {
	var out bytes.Buffer
	start := clock()
	for index, line := range lines {
		if index%512 == 0 {
			out.Reset()
		}
		clean(mapping, line, &out)
	}
	return (clock() - start).Seconds()
}

// CPU time that this process has had, the garbage collector's included.
func clock() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer-bloblang:", err)
		os.Exit(1)
	}
}
