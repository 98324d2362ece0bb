// Command forward passes TCP connections on from one address to another: forward LISTEN TARGET.
package main

import (
	"io"
	"log"
	"net"
	"os"
	"time"
)

const dialTimeout = 5 * time.Second

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: forward LISTEN TARGET")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go pass(client.(*net.TCPConn), os.Args[2])
	}
}

// pass connects one client with the target until both sides have said all they had to say.
func pass(client *net.TCPConn, target string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, dialTimeout)
	if err != nil {
		log.Print(err)
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		copyHalf(server.(*net.TCPConn), client)
		close(done)
	}()
	copyHalf(client, server.(*net.TCPConn))
	<-done
}

// copyHalf copies one direction, then closes it: the other direction may still be talking.
func copyHalf(to, from *net.TCPConn) {
	io.Copy(to, from)
	to.CloseWrite()
}
