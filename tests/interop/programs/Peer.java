// A TLS peer on Java's JSSE for the interop tests; arguments as in go/main.go, but an identity
// is one PKCS #12 file whose password is "password":
//
//   Peer server PORT VERSION IDENTITY [CLIENT_CA]
//   Peer client PORT VERSION CA CONNECTIONS [IDENTITY]

import java.io.FileInputStream;
import java.io.InputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    static final char[] PASSWORD = "password".toCharArray();

    static SSLContext context(String identity, String ca) throws Exception {
        KeyManager[] keys = null;
        if (identity != null) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (InputStream in = new FileInputStream(identity)) {
                store.load(in, PASSWORD);
            }
            KeyManagerFactory factory = KeyManagerFactory.getInstance("SunX509");
            factory.init(store, PASSWORD);
            keys = factory.getKeyManagers();
        }
        TrustManager[] trust = null;
        if (ca != null) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            try (InputStream in = new FileInputStream(ca)) {
                store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
            factory.init(store);
            trust = factory.getTrustManagers();
        }
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys, trust, null);
        return context;
    }

    static void serve(String[] a) throws Exception {
        boolean mutual = a.length > 4;
        SSLContext context = context(a[3], mutual ? a[4] : null);
        SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory()
            .createServerSocket(Integer.parseInt(a[1]), 50, InetAddress.getByName("127.0.0.1"));
        listener.setEnabledProtocols(new String[] {"TLSv" + a[2]});
        listener.setNeedClientAuth(mutual);
        System.out.println("ready");
        while (true) {
            try (SSLSocket socket = (SSLSocket) listener.accept()) {
                socket.getInputStream().read(new byte[4096]);
                socket.getOutputStream().write("HTTP/1.0 200 OK\r\n\r\nhello from Java\n".getBytes());
            } catch (java.io.IOException error) {
                System.out.println("error: " + error);
            }
        }
    }

    static void dial(String[] a) throws Exception {
        SSLContext context = context(a.length > 5 ? a[5] : null, a[3]);
        for (int i = 0; i < Integer.parseInt(a[4]); i++) {
            try (SSLSocket socket = (SSLSocket) context.getSocketFactory()
                    .createSocket("localhost", Integer.parseInt(a[1]))) {
                socket.setEnabledProtocols(new String[] {"TLSv" + a[2]});
                socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
                System.out.println(new String(socket.getInputStream().readAllBytes()));
            }
        }
    }

    public static void main(String[] a) throws Exception {
        if (a[0].equals("server")) {
            serve(a);
        } else {
            dial(a);
        }
    }
}
