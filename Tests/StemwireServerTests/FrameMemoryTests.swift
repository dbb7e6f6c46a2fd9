import Glibc
import StemwireAcquisition
import StemwireClient
import StemwireProtocol
import StemwireSystem
import StemwireUDF
import Testing

@testable import StemwireServer

extension ServerTests {
    @Suite("Workers that read frames where the server has them", .timeLimit(.minutes(2))) struct FrameMemoryTests {
        /// What a worker is given of the scan until it has all 64 positions, and leaves without an answer.
        struct Given: Sendable {
            var memory: WireFrameMemory?
            var attempts: Set<UInt32> = []
            /// By position: the first bytes of the frame's message, wherever it came from.
            var starts: [Int: [UInt8]] = [:]
            var framesSent = 0
            var framesInMemory = 0
            /// Places whose slot was not the one that was told any more.
            var changed = 0
        }

        static func work(
            _ bench: Bench, number: UInt8, readsMemory: Bool, confirms: Bool = true,
            isReady: @escaping @Sendable () -> Void = {}
        ) async throws -> Given {
            try await onThread {
                let stranger = try Stranger(.dealer, port: bench.endpoints.workPort)
                var hello = WireWorkHello()
                (hello.versionMin, hello.versionMax, hello.epoch) = (1, 1, 1)
                hello.clientID = .init([UInt8](repeating: 0, count: 15) + [number])
                (hello.credit.items, hello.credit.bytes) = (16, 1 << 24)
                hello.worker.readsMemory = readsMemory
                hello.worker.udfs = UDFRegistry.builtIn.entries.map { entry in
                    .with { ($0.name, $0.version) = (entry.name, UInt32(entry.version)) }
                }
                try stranger.send(.hello(hello))
                guard case .welcome(let welcome) = try stranger.work().kind else { throw Stranger.Unexpected() }
                var given = Given()
                given.memory = welcome.hasFrameMemory ? welcome.frameMemory : nil
                let memory = try given.memory.map { try Mapping($0) }
                if confirms, memory != nil { try stranger.send(.frameMemoryMapped(WireFrameMemoryMapped())) }
                isReady()
                while given.starts.count < 64 {
                    try stranger.send(.beat(WireBeat()))
                    let (kind, payload, _) = try stranger.work()
                    guard case .work(let work) = kind else { continue }
                    given.attempts.insert(work.item.attempt)
                    let stride = Int(work.tile.stride)
                    if work.memory.isEmpty {
                        given.framesSent += Int(work.tile.count)
                        for index in 0..<Int(work.tile.count) {
                            let start = payload[(index * stride)...].prefix(200)
                            given.starts[Int(work.tile.firstPosition) + index] = Array(start)
                        }
                    }
                    #expect(work.memory.isEmpty || payload.isEmpty)
                    #expect(work.memory.isEmpty || work.memory.reduce(0) { $0 + $1.count } == work.tile.count)
                    for place in work.memory {
                        let memory = try #require(memory)
                        given.framesInMemory += Int(place.count)
                        for index in 0..<Int(place.count) {
                            let start = memory.bytes(Int(place.offset) + index * stride, count: 200)
                            given.starts[Int(place.firstPosition) + index] = start
                        }
                        if memory.filling(Int(place.slot)) != place.filling { given.changed += 1 }
                    }
                }
                try stranger.send(.bye(WireBye()))
                return given
            }
        }

        final class Mapping {
            private let base: UnsafeMutableRawPointer
            private let byteCount: Int

            init(_ told: WireFrameMemory) throws {
                let descriptor = open(told.path, O_RDONLY)
                try #require(descriptor >= 0, "\(told.path): errno \(errno)")
                defer { close(descriptor) }
                byteCount = Int(told.bytes)
                let mapped = try #require(mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0))
                try #require(mapped != MAP_FAILED)
                base = mapped
            }

            deinit { munmap(base, byteCount) }

            func bytes(_ offset: Int, count: Int) -> [UInt8] {
                Array(UnsafeRawBufferPointer(start: base + offset, count: count))
            }

            func filling(_ slot: Int) -> UInt64 { base.load(fromByteOffset: 8 * slot, as: UInt64.self) }
        }

        @Test("the places of frames are told, and what is done again is sent")
        func placesThenPayload() async throws {
            try await Bench.run(server: {
                $0.threads = 0
                ($0.workerBeatInterval, $0.workerSilenceLimit) = (.milliseconds(250), .seconds(5))
            }) { bench in
                let client = try await bench.connect()
                let ready = CountingSemaphore()
                async let first = Self.work(bench, number: 1, readsMemory: true) { ready.post() }
                try await onThread { _ = ready.wait(timeout: .seconds(30)) }
                try await client.startScan()
                let inMemory = try await first
                #expect(inMemory.framesInMemory == 64 && inMemory.framesSent == 0 && inMemory.changed == 0)
                #expect(inMemory.attempts == [1])
                let sent = try await Self.work(bench, number: 2, readsMemory: true)
                #expect(sent.framesSent == 64 && sent.framesInMemory == 0 && sent.attempts == [2])
                #expect(inMemory.starts == sent.starts)
                #expect(sent.starts.values.allSatisfy { $0.starts(with: Array("MPX,".utf8)) })
                await client.close()
            }
        }

        @Test(
            "frames are sent to who does not offer to read memory, and to who could not map it",
            arguments: [(false, true), (true, false)])
        func sent(readsMemory: Bool, confirms: Bool) async throws {
            try await Bench.run(server: { $0.threads = 0 }) { bench in
                let client = try await bench.connect()
                let ready = CountingSemaphore()
                async let work = Self.work(bench, number: 1, readsMemory: readsMemory, confirms: confirms) {
                    ready.post()
                }
                try await onThread { _ = ready.wait(timeout: .seconds(30)) }
                try await client.startScan()
                let given = try await work
                #expect((given.memory != nil) == readsMemory)
                #expect(given.framesSent == 64 && given.framesInMemory == 0)
                await client.close()
            }
        }
    }
}
