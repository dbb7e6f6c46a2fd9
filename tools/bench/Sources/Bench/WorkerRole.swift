import Foundation
import Glibc
import MerlinProtocol
import StemwireKernels
import StemwireSystem
import StemwireUDF
import StemwireWorker

/// A worker in a process of its own.
enum WorkerRole {
    /// Starts one, and waits until it has been taken.
    static func start(at endpoint: String, threads: Int = 1, pause milliseconds: Int = 0) throws -> Peer {
        let peer = try Peer.child(.work, [endpoint, "\(threads)", "\(milliseconds)"])
        _ = try peer.readNumbers(1)
        return peer
    }

    /// The built-in UDFs, and a sum that takes its time.
    static func registry(pause milliseconds: Int) throws -> UDFRegistry {
        PausedSum.pause.value = milliseconds
        var registry = UDFRegistry.builtIn
        try registry.add(PausedSum.self)
        return registry
    }

    static func work(endpoint: String, threads: Int, pause milliseconds: Int) async throws {
        var configuration = WorkerConfiguration(endpoint: endpoint)
        configuration.threads = threads
        let worker = try Worker(configuration, udfs: try registry(pause: milliseconds))
        async let work: Void = worker.run { event in
            if case .connected(_, 1) = event { Console.line("1") }
        }
        // The parent's end is this one's.
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                while readLine() != nil {}
                continuation.resume()
            }
        }
        await worker.leave(within: .zero)
        try await work
    }
}

/// The counts of each pixel, by a worker that needs a certain time for each frame: stands for a slow machine.
struct PausedSum: FrameUDF {
    static let name = "paused-sum"
    /// Milliseconds a frame.
    static let pause = Locked(0)

    init(parameters: NoParameters, meta: UDFMeta) {}

    var input: InputType { .float32 }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { [.nav("intensity", .float64)] }

    func process(_ frame: Frame, _ context: Context) throws {
        let pixels = try frame.pixels(as: Float.self)
        try context.buffer("intensity", as: Double.self)[0] = Double(pixels.first ?? 0)
        usleep(UInt32(Self.pause.value) * 1000)
    }
}

/// A UDF alone on one thread, with frames in memory: what this machine gives without any server.
enum ComputeRole {
    static func compute(frames: Int, udf: String) throws {
        let memory = try FrameMemory("U16", depth: .twelve, payloadBytes: 256 * 256 * 2)
        let perPartition = 16
        let plan = try RunPlan(
            [try UDFRequest(argument: udf)],
            meta: UDFMeta(
                navShape: [frames], sigShape: FrameMemory.sigShape, inputDType: .uint16,
                framesPerPartition: perPartition))
        let lane = try UDFLane(plan, decoder: memory.decoder)
        Console.line("1")
        while readLine() != nil {
            let began = ContinuousClock.now
            for partition in 0..<plan.meta.partitionCount {
                let task = try lane.begin(partition: partition)
                let positions = plan.meta.positions(ofPartition: partition)
                let first = positions.lowerBound % (memory.frameCount - perPartition)
                try task.process(
                    memory.firstPixel + first * memory.stride, stride: memory.stride, count: positions.count,
                    firstPosition: positions.lowerBound)
                _ = try task.finish()
            }
            Console.line("\(Int((ContinuousClock.now - began) / .nanoseconds(1)))")
        }
    }
}
