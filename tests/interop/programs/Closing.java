// What Java's JSSE gets of a connection that we end; arguments as in closing/main.go, an identity as in Peer.java.

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public class Closing {
    static void read(InputStream in) {
        byte[] buffer = new byte[1000];
        long got = 0;
        try {
            for (int size; (size = in.read(buffer)) >= 0; got += size) {
            }
            System.out.println("got " + got + " end");
        } catch (IOException error) {
            System.out.println("got " + got + " error: " + error);
        }
    }

    public static void main(String[] a) throws Exception {
        int port = Integer.parseInt(a[1]);
        String[] versions = {"TLSv" + a[2]};
        if (a[0].equals("sink")) {
            SSLServerSocket listener = (SSLServerSocket) Peer.context(a[3], null).getServerSocketFactory().createServerSocket();
            listener.setReceiveBufferSize(1 << 16);
            listener.bind(new java.net.InetSocketAddress(InetAddress.getByName("127.0.0.1"), port));
            listener.setEnabledProtocols(versions);
            while (true) {
                try (SSLSocket socket = (SSLSocket) listener.accept()) {
                    socket.startHandshake();
                    read(socket.getInputStream());
                } catch (IOException error) {
                    System.out.println("error: " + error);
                }
            }
        }
        SSLContext context = Peer.context(null, a[3]);
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("localhost", port)) {
            socket.setEnabledProtocols(versions);
            socket.getOutputStream().write("what is it?\n".getBytes());
            if (a[2].equals("1.3")) {
                socket.shutdownOutput();
            }
            read(socket.getInputStream());
        }
    }
}
