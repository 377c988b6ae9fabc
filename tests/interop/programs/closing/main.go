// What Go's crypto/tls gets of a connection that we end.
//
//	closing sink PORT VERSION CERT KEY
//	closing ask PORT VERSION CA
//
// The sink reads slowly to the end and prints how many bytes came; asking sends a line, says its own end, and does so too.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
)

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func read(connection *tls.Conn) {
	got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, connection, make([]byte, 1000))
	if err != nil {
		fmt.Println("got", got, "error:", err)
		return
	}
	fmt.Println("got", got, "end")
}

func main() {
	role, port := os.Args[1], os.Args[2]
	config := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, ServerName: "localhost"}
	if os.Args[3] == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	if role == "sink" {
		pair, err := tls.LoadX509KeyPair(os.Args[4], os.Args[5])
		must(err)
		config.Certificates = []tls.Certificate{pair}
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		must(err)
		for {
			raw, err := listener.Accept()
			must(err)
			raw.(*net.TCPConn).SetReadBuffer(1 << 16)
			go func() {
				connection := tls.Server(raw, config)
				if connection.Handshake() == nil {
					read(connection)
				}
				connection.Close()
			}()
		}
	}
	file, err := os.ReadFile(os.Args[4])
	must(err)
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AppendCertsFromPEM(file)
	connection, err := tls.Dial("tcp", "127.0.0.1:"+port, config)
	must(err)
	connection.Write([]byte("what is it?\n"))
	must(connection.CloseWrite())
	read(connection)
}
