import Foundation
import StemwireSystem
import Synchronization
import Testing

@testable import ZeroMQ

/// A place to bind to; an ipc one has a folder of its own, which goes with it.
final class Place: Sendable {
    enum Transport: String, CaseIterable, Sendable { case tcp, ipc, inproc }

    let endpoint: String
    private let folder: String?
    private static let count = Atomic<Int>(0)

    init(_ transport: Transport) throws {
        switch transport {
        case .tcp:
            endpoint = "tcp://127.0.0.1:*"
            folder = nil
        case .inproc:
            endpoint = "inproc://test-\(Self.count.wrappingAdd(1, ordering: .relaxed).newValue)"
            folder = nil
        case .ipc:
            let temporary = FileManager.default.temporaryDirectory.path
            let path = "\(temporary)/zmq-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            folder = path
            endpoint = "ipc://\(path)/socket"
        }
    }

    deinit {
        if let folder { try? FileManager.default.removeItem(atPath: folder) }
    }
}

/// Options under which a lost message fails a test instead of stopping it.
func patient(_ change: (inout SocketOptions) -> Void = { _ in }) -> SocketOptions {
    var options = SocketOptions()
    options.receiveTimeout = .seconds(10)
    options.sendTimeout = .seconds(10)
    options.linger = .zero
    change(&options)
    return options
}

extension Socket {
    func receiveTexts() throws -> [String?] { try receive().map(\.text) }

    /// The number of further XPUB changes is known: wait for one.
    func nextSubscription() throws -> SubscriptionChange {
        while true {
            var poller = try Poller()
            _ = poller.add(self)
            let ready = try poller.wait(timeout: .seconds(60))
            try #require(!ready.isEmpty, "no subscription came")
            if let change = try tryReceiveSubscription() { return change }
        }
    }
}

/// Counts how often owners like it are released.
final class Owner: Sendable {
    final class Count: Sendable {
        private let value = Atomic<Int>(0)
        private let semaphore = CountingSemaphore()

        var released: Int { value.load(ordering: .acquiring) }

        func add() {
            value.wrappingAdd(1, ordering: .acquiringAndReleasing)
            semaphore.post()
        }

        /// Waits until one more owner is released.
        func wait() -> Bool { semaphore.wait(timeout: .seconds(60)) }
    }

    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    private let count: Count

    init(_ count: Count, size: Int, filling byte: UInt8 = 7) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: byte)
        bytes = UnsafeRawBufferPointer(memory)
        self.count = count
    }

    deinit {
        // A second release would free twice, or run this twice.
        bytes.deallocate()
        count.add()
    }

    /// A message that alone keeps a new owner.
    static func message(_ count: Count, size: Int = 100_000, filling byte: UInt8 = 7) -> Message {
        let owner = Owner(count, size: size, filling: byte)
        return Message(owner.bytes, owner: owner)
    }
}

/// A value that one thread sets and others wait for.
final class Box<Value: Sendable>: Sendable {
    private let content = Locked<[Value]>([])
    private let semaphore = CountingSemaphore()

    func put(_ value: Value) {
        content.withLock { $0.append(value) }
        semaphore.post()
    }

    /// The next value in order of coming.
    func next() throws -> Value {
        try #require(semaphore.wait(timeout: .seconds(60)), "nothing came")
        return content.withLock { $0.removeFirst() }
    }
}
