import Foundation
import Glibc
import Testing

@testable import StemwireSystem

/// A stand-in for systemd: a datagram socket that hears what a service says.
private final class Listener {
    let path = "/tmp/stemwire-notify-\(UInt32.random(in: .min ... .max))"
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    func next() -> String {
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}

@Suite struct ServiceNotifierTests {
    @Test func systemdIsTold() throws {
        let listener = try Listener()
        let notifier = ServiceNotifier(
            socket: listener.path, watchdogMicroseconds: 2_000_000, watchdogProcess: getpid())
        #expect(notifier.watchdogInterval == .seconds(2))
        notifier.ready("serving")
        notifier.alive()
        notifier.stopping()
        #expect(listener.next() == "READY=1\nSTATUS=serving")
        #expect(listener.next() == "WATCHDOG=1")
        #expect(listener.next().hasPrefix("STOPPING=1\n"))
    }

    @Test func withoutSystemdNothingHappens() {
        for path in [nil, "", "relative", "/nowhere/at/all", "/" + String(repeating: "x", count: 200)] {
            let notifier = ServiceNotifier(socket: path, watchdogMicroseconds: nil, watchdogProcess: nil)
            notifier.ready("x")
            #expect(notifier.watchdogInterval == nil)
        }
        // The watchdog of another process.
        #expect(
            ServiceNotifier(socket: nil, watchdogMicroseconds: 5, watchdogProcess: getpid() + 1).watchdogInterval == nil
        )
    }
}
