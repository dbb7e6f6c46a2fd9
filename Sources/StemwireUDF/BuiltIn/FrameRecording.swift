import Glibc
import StemwireKernels

/// A `.npy` file that the frames of a scan are written to as they come, by several threads; shape nav + sig.
///
/// Begun with the first frame as `<path>.partial`, a valid `.npy` file of its full size from then on, whose frames are zero
/// until they come. It gets its own name once all have come; until then, and when frames are lost, it stays `.partial`.
final class FrameRecording: Sendable {
    let path: String
    let replaces: Bool
    private let header: [UInt8]
    private let frameBytes: Int
    private let frameCount: Int
    private let state = SharedValue(State.waiting)

    private enum State {
        case waiting
        /// The open file, and the positions that are in it.
        case open(file: Int32, written: PositionSet)
        case finished
        case failed(UDFFailure)
    }

    var partialPath: String { path + ".partial" }
    private var byteCount: Int { header.count + frameCount * frameBytes }

    init(path: String, replaces: Bool, _ meta: UDFMeta) throws {
        self.path = path
        self.replaces = replaces
        let (frames, overflow) = meta.positionCount.multipliedReportingOverflow(
            by: meta.sigShape.pixelCount * meta.inputDType.byteCount)
        header = NumpyFile.header(
            dtype: meta.inputDType, shape: meta.navShape + [meta.sigShape.height, meta.sigShape.width])
        guard !overflow, frames <= Int.max - header.count else { throw UDFFailure("\(path): the scan is too large") }
        frameBytes = meta.sigShape.pixelCount * meta.inputDType.byteCount
        frameCount = meta.positionCount
    }

    deinit {
        state.withLock { state in
            if case .open(let file, _) = state { close(file) }
        }
    }

    /// Looks whether the file can be made, without making it.
    func check() throws {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        guard access(folder, W_OK | X_OK) == 0 else { throw fault("make", path) }
        guard !replaces else { return }
        for existing in [path, partialPath] where access(existing, F_OK) == 0 { throw exists(existing) }
    }

    private func exists(_ existing: String) -> UDFFailure {
        UDFFailure(
            existing == path
                ? "\(path) exists, and a recording replaces nothing: take another name, or overwrite=true"
                : "\(partialPath) exists: another run is writing it, or has left it without all frames; move it away, "
                    + "take another name, or overwrite=true")
    }

    /// Writes consecutive frames that lie one right behind the other. Any thread.
    func write(_ frames: UnsafeRawBufferPointer, at positions: Range<Int>) throws {
        precondition(frames.count == positions.count * frameBytes)
        let file = try opened()
        try write(frames, at: header.count + positions.lowerBound * frameBytes, file)
        try state.withLock { state in
            guard case .open(let file, var written) = state else { return }
            // Or the set is copied for each tile.
            state = .waiting
            written.insert(positions)
            state = .open(file: file, written: written)
            guard written.isFull else { return }
            state = .finished
            guard close(file) == 0, rename(partialPath, path) == 0 else {
                let failure = fault("finish", path)
                state = .failed(failure)
                throw failure
            }
        }
    }

    private func opened() throws -> Int32 {
        try state.withLock { state in
            switch state {
            case .open(let file, _): return file
            case .failed(let failure): throw failure
            case .finished: throw UDFFailure("\(path) has all its frames already")
            case .waiting:
                do {
                    let file = try begin()
                    state = .open(file: file, written: PositionSet(size: frameCount))
                    return file
                } catch let failure as UDFFailure {
                    state = .failed(failure)
                    throw failure
                }
            }
        }
    }

    /// Makes the file.
    private func begin() throws -> Int32 {
        // Exclusively: two runs, or two machines on one file system, would each have half of the frames.
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (replaces ? O_TRUNC : O_EXCL)
        let file = open(partialPath, flags, 0o644)
        guard file >= 0 else { throw errno == EEXIST ? exists(partialPath) : fault("make", partialPath) }
        do {
            try checkSpace(file)
            guard ftruncate(file, byteCount) == 0 else { throw fault("make", partialPath) }
            try header.withUnsafeBytes { try write($0, at: 0, file) }
        } catch {
            close(file)
            unlink(partialPath)
            throw error
        }
        return file
    }

    private func checkSpace(_ file: Int32) throws {
        var system = statvfs()
        guard fstatvfs(file, &system) == 0 else { return }
        let (free, overflow) = UInt64(system.f_bavail).multipliedReportingOverflow(by: UInt64(system.f_frsize))
        guard overflow || UInt64(byteCount) <= free else {
            throw UDFFailure(
                "\(path): the scan takes \(Self.size(UInt64(byteCount))), and there is room for \(Self.size(free)); make "
                    + "room, or record elsewhere")
        }
    }

    private static func size(_ bytes: UInt64) -> String {
        bytes >= 10 << 30 ? "\(bytes >> 30) GiB" : bytes >= 10 << 20 ? "\(bytes >> 20) MiB" : "\(bytes) bytes"
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ file: Int32) throws {
        var done = 0
        while done < bytes.count {
            let count = pwrite(file, bytes.baseAddress! + done, bytes.count - done, offset + done)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw fault("write", partialPath) }
            done += count
        }
    }

    private func fault(_ verb: String, _ path: String) -> UDFFailure {
        let advice =
            switch errno {
            case ENOSPC, EDQUOT: "; make room, or record elsewhere"
            case ENOENT: "; make the folder first"
            default: ""
            }
        return UDFFailure("cannot \(verb) \(path): \(String(cString: strerror(errno)))\(advice)")
    }
}
