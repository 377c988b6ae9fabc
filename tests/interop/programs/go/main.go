// A TLS peer on Go's crypto/tls for the interop tests.
//
//	peer server PORT VERSION CERT KEY [CLIENT_CA]
//	peer client PORT VERSION CA CONNECTIONS [CERT KEY]
//
// The server answers any request with a short HTTP reply; the client prints what it received.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func pool(file string) *x509.CertPool {
	data, err := os.ReadFile(file)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	return roots
}

func version(name string) uint16 {
	if name == "1.2" {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}

func serve(args []string) {
	pair, err := tls.LoadX509KeyPair(args[2], args[3])
	must(err)
	v := version(args[1])
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: v, MaxVersion: v}
	if len(args) > 4 {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = pool(args[4])
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:"+args[0], config)
	must(err)
	fmt.Println("ready")
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go answer(connection)
	}
}

func answer(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 4096)
	if _, err := connection.Read(buffer); err != nil {
		fmt.Println("error:", err)
		return
	}
	connection.Write([]byte("HTTP/1.0 200 OK\r\n\r\nhello from Go\n"))
}

func dial(args []string) {
	v := version(args[1])
	count, err := strconv.Atoi(args[3])
	must(err)
	config := &tls.Config{RootCAs: pool(args[2]), ServerName: "localhost", MinVersion: v, MaxVersion: v,
		ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	if len(args) > 4 {
		pair, err := tls.LoadX509KeyPair(args[4], args[5])
		must(err)
		config.Certificates = []tls.Certificate{pair}
	}
	for i := 0; i < count; i++ {
		connection, err := tls.Dial("tcp", "127.0.0.1:"+args[0], config)
		must(err)
		connection.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		received, err := io.ReadAll(connection)
		must(err)
		fmt.Printf("%s resumed=%v\n", received, connection.ConnectionState().DidResume)
		connection.Close()
	}
}

func main() {
	if os.Args[1] == "server" {
		serve(os.Args[2:])
	} else {
		dial(os.Args[2:])
	}
}
