import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import javax.net.SocketFactory;

/** The driver's way to a server that listens on a unix socket alone: its argument is the socket's file. */
public class UnixSocket extends SocketFactory {
    private final String file;

    public UnixSocket(String file) {
        this.file = file;
    }

    @Override
    public Socket createSocket() {
        return new Socket() {
            private SocketChannel channel;

            @Override
            public void connect(SocketAddress server, int timeout) throws IOException {
                channel = SocketChannel.open(UnixDomainSocketAddress.of(file));
            }

            @Override
            public boolean isConnected() {
                return channel != null;
            }

            @Override
            public InputStream getInputStream() {
                return Channels.newInputStream(channel);
            }

            @Override
            public OutputStream getOutputStream() {
                return Channels.newOutputStream(channel);
            }

            @Override
            public void close() throws IOException {
                if (channel != null) channel.close();
            }

            // Options of TCP, which the driver sets.
            @Override
            public void setSoTimeout(int milliseconds) {}

            @Override
            public int getSoTimeout() {
                return 0;
            }

            @Override
            public void setTcpNoDelay(boolean on) {}
        };
    }

    @Override
    public Socket createSocket(String host, int port) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Socket createSocket(String host, int port, InetAddress local, int localPort) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Socket createSocket(InetAddress host, int port) {
        throw new UnsupportedOperationException();
    }

    @Override
    public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) {
        throw new UnsupportedOperationException();
    }
}
