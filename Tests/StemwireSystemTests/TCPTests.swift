import Glibc
import StemwireSystem
import Testing

@Suite struct TCPTests {
    @Test func bytesTravelBothWaysAndTheEndIsSeen() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        #expect(listener.port > 0)
        let client = try TCPConnection.connect(host: "127.0.0.1", port: listener.port, timeout: .seconds(2))
        let server = try #require(listener.accept(timeout: .seconds(2)))
        try client.send("hello")
        var buffer = [UInt8](repeating: 0, count: 5)
        let received = buffer.withUnsafeMutableBytes { server.receive(into: $0, fill: true) }
        #expect(received == .bytes(5))
        #expect(String(decoding: buffer, as: UTF8.self) == "hello")
        client.shutdownSending()
        #expect(buffer.withUnsafeMutableBytes { server.receive(into: $0) } == .closed)
        try server.send("still")
        #expect(buffer.withUnsafeMutableBytes { client.receive(into: $0, fill: true) } == .bytes(5))
    }

    @Test func aSilentPeerTimesOut() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let client = try TCPConnection.connect(host: "127.0.0.1", port: listener.port, timeout: .seconds(2))
        client.setReceiveTimeout(.milliseconds(5))
        var buffer = [UInt8](repeating: 0, count: 5)
        #expect(buffer.withUnsafeMutableBytes { client.receive(into: $0) } == .timedOut)
        #expect(!client.waitReadable(timeout: .milliseconds(1)))
    }

    @Test func nobodyThereIsRefusedByName() throws {
        let port = try TCPListener(host: "127.0.0.1", port: 0).port
        let failure = #expect(throws: SystemError.self) {
            try TCPConnection.connect(host: "127.0.0.1", port: port, timeout: .seconds(2))
        }
        #expect(failure?.code == ECONNREFUSED)
        #expect(failure?.description.contains("127.0.0.1:\(port)") == true)
    }

    @Test func theSystemIsToldToNoticeAPeerThatIsGone() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let client = try TCPConnection.connect(host: "127.0.0.1", port: listener.port, timeout: .seconds(2))
        client.noticeLoss(idle: .seconds(2), limit: .seconds(6))
        func option(_ level: Int32, _ name: Int32) -> Int32 {
            var value: Int32 = -1
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(client.descriptor, level, name, &value, &size)
            return value
        }
        #expect(option(SOL_SOCKET, SO_KEEPALIVE) == 1)
        let tcp = Int32(IPPROTO_TCP)
        #expect(option(tcp, TCP_KEEPIDLE) == 2 && option(tcp, TCP_KEEPINTVL) == 1 && option(tcp, TCP_KEEPCNT) == 4)
        #expect(option(tcp, TCP_USER_TIMEOUT) == 6000)
    }

    @Test func shutdownEndsAWaitingReceive() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let client = try TCPConnection.connect(host: "127.0.0.1", port: listener.port, timeout: .seconds(2))
        let done = CountingSemaphore()
        let thread = try NamedThread("receiver") {
            var buffer = [UInt8](repeating: 0, count: 5)
            let received = buffer.withUnsafeMutableBytes { client.receive(into: $0) }
            if received == .closed { done.post() }
        }
        client.shutdown()
        #expect(done.wait(timeout: .seconds(5)))
        thread.join()
    }

    @Test func semaphoresAndWakeUpsCount() throws {
        let semaphore = CountingSemaphore(1)
        #expect(semaphore.wait(timeout: .zero))
        #expect(!semaphore.wait(timeout: .milliseconds(2)))
        let wakeUp = try WakeUp()
        var entry = pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 0) == 0)
        wakeUp.signal()
        wakeUp.signal()
        #expect(poll(&entry, 1, 0) == 1)
        wakeUp.drain()
        #expect(poll(&entry, 1, 0) == 0)
    }
}
