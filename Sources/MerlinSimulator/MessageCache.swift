import Glibc
import MerlinProtocol
import StemwireSystem

/// The messages of a scan in one block of memory, made once; endless acquisitions repeat it with new numbers.
final class MessageCache: @unchecked Sendable {
    // Written by the building threads in disjoint pieces, then used by the data thread alone.
    fileprivate let memory: UnsafeMutableRawBufferPointer
    fileprivate let messageBytes: Int
    fileprivate let frameCount: Int
    let saturatedPixels: Int

    /// Makes all messages, with as many threads as there are processors.
    ///
    /// - Parameter isCancelled: asked before each frame; nil is the result if it ever says true.
    /// - Throws: `SimulatorError.cacheTooLarge`, `SystemError`, and what the source throws.
    init?(
        source: any FrameSource, plan: AcquisitionPlan, startedAt: CivilTime,
        isCancelled: @escaping @Sendable () -> Bool
    ) throws {
        let count = min(source.setup.frameCount, plan.frameCount ?? .max)
        let messageBytes = try source.writer(for: plan, startedAt: startedAt).messageBytes
        let needed = count * messageBytes
        let available = Self.availableBytes
        guard needed < available / 10 * 9 else {
            throw SimulatorError.cacheTooLarge(needed: needed, available: available)
        }
        guard let base = mmap(nil, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            base != MAP_FAILED
        else { throw SystemError(operation: "take memory for", subject: "--cached memory") }
        madvise(base, needed, Int32(MADV_HUGEPAGE))
        memory = UnsafeMutableRawBufferPointer(start: base, count: needed)
        self.messageBytes = messageBytes
        frameCount = count

        let builder = CacheBuilder(
            source: source, plan: plan, startedAt: startedAt, memory: memory, messageBytes: messageBytes,
            frameCount: count, isCancelled: isCancelled)
        do {
            saturatedPixels = try builder.run()
        } catch {
            munmap(base, needed)
            throw error
        }
        if isCancelled() { return nil }
    }

    deinit { munmap(memory.baseAddress, memory.count) }

    /// Memory that can be had without swapping, the page cache included where the system tells it.
    private static var availableBytes: Int {
        if let file = fopen("/proc/meminfo", "r") {
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 256)
            while fgets(&line, Int32(line.count), file) != nil {
                let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                guard text.hasPrefix("MemAvailable:"), let kibibytes = Int(text.filter(\.isNumber)) else { continue }
                return kibibytes << 10
            }
        }
        return sysconf(Int32(_SC_AVPHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    }
}

/// Fills a cache's memory.
private final class CacheBuilder: Sendable {
    private let source: any FrameSource
    private let plan: AcquisitionPlan
    private let startedAt: CivilTime
    // Each thread writes its own frames.
    nonisolated(unsafe) private let memory: UnsafeMutableRawBufferPointer
    private let messageBytes: Int
    private let frameCount: Int
    private let isCancelled: @Sendable () -> Bool
    private let result = Locked<Result<Int, any Error>>(.success(0))

    init(
        source: any FrameSource, plan: AcquisitionPlan, startedAt: CivilTime, memory: UnsafeMutableRawBufferPointer,
        messageBytes: Int, frameCount: Int, isCancelled: @escaping @Sendable () -> Bool
    ) {
        self.source = source
        self.plan = plan
        self.startedAt = startedAt
        self.memory = memory
        self.messageBytes = messageBytes
        self.frameCount = frameCount
        self.isCancelled = isCancelled
    }

    func run() throws -> Int {
        let count = max(1, min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 16, frameCount / 16))
        var threads: [NamedThread] = []
        do {
            for index in 1..<count {
                threads.append(try NamedThread("sim cache \(index)") { self.fill(from: index, step: count) })
            }
            fill(from: 0, step: count)
        } catch {
            result.withLock { $0 = .failure(error) }
        }
        for thread in threads { thread.join() }
        return try result.withLock { try $0.get() }
    }

    private func fill(from first: Int, step: Int) {
        do {
            let writer = try source.writer(for: plan, startedAt: startedAt)
            for frame in stride(from: first, to: frameCount, by: step) {
                if isCancelled() { break }
                try writer.write(
                    frame: frame,
                    into: UnsafeMutableRawBufferPointer(
                        rebasing: memory[(frame * messageBytes)..<((frame + 1) * messageBytes)]))
            }
            let saturated = writer.saturatedPixels
            result.withLock { result in
                if case .success(let sum) = result { result = .success(sum + saturated) }
            }
        } catch {
            result.withLock { $0 = .failure(error) }
        }
    }
}

/// Gives out cached messages, renumbered in place.
final class CachedMessages: MessageStore {
    let writer: any MessageWriter
    private let cache: MessageCache

    init(_ cache: MessageCache, writer: any MessageWriter) {
        self.cache = cache
        self.writer = writer
    }

    func messages(_ frames: Range<Int>) throws -> (bytes: UnsafeRawBufferPointer, frames: Int) {
        let size = cache.messageBytes
        let first = frames.lowerBound % cache.frameCount
        let capacity = max(1, FreshMessages.pieceBytes / size)
        let count = min(frames.count, capacity, cache.frameCount - first)
        for index in 0..<count {
            let start = (first + index) * size + MPXPrefix.byteCount
            let body = UnsafeMutableRawBufferPointer(rebasing: cache.memory[start..<(first + index + 1) * size])
            let number = frames.lowerBound + index + 1
            guard FrameHeaderText.renumber(body, to: UInt64(number)) else {
                throw SimulatorError.noRoomForNumber(number)
            }
        }
        return (UnsafeRawBufferPointer(rebasing: cache.memory[(first * size)..<((first + count) * size)]), count)
    }
}
