import StemwireAcquisition
import StemwireSystem
import StemwireUDF

extension LiveContext {
    /// Loads a recording, which UDFs run on in the same way as on a live acquisition.
    ///
    /// - Parameters:
    ///   - path: a `.hdr` or `.mib` file with what belongs to it, or a `.npy` file with unsigned integers of shape
    ///     scan axes + (y, x), which is read into memory whole.
    ///   - navShape: scan shape, slow axis first, at most two lengths −1; nil: from the files. Of a `.npy` file: another
    ///     shape of the same number of frames.
    ///   - margins: frames of a `.mib` recording that are no scan positions.
    ///   - framesPerPartition: scan positions in a partition; nil: whole scan lines, about 256, of 32 MiB at most.
    /// - Throws: `RunError.badRequest` naming the file and what is wrong with it.
    public func load(
        _ path: String, navShape: [Int]? = nil, margins: ScanMargins = ScanMargins(), framesPerPartition: Int? = nil
    ) async throws(RunError) -> Acquisition {
        if let navShape { try LocalLink.check(navShape) }
        let source = try await onThread("load") { () throws(RunError) in
            path.hasSuffix(".npy")
                ? LocalSource.memory(try Self.array(path, navShape: navShape))
                : LocalSource.recording(try LocalSource.files(path))
        }
        return recorded(source, navShape: navShape, margins: margins, framesPerPartition: framesPerPartition)
    }

    /// Loads a file that is nothing but pixels.
    ///
    /// - Parameters:
    ///   - path: the file's path. It is not read into memory, but frame by frame when they are due.
    ///   - layout: shapes, pixel type and byte order. Bytes behind the last frame are not used.
    ///   - framesPerPartition: scan positions in a partition; nil: whole scan lines, about 256, of 32 MiB at most.
    /// - Throws: `RunError.badRequest` when the file cannot be read or is too short.
    public func load(
        raw path: String, _ layout: RawLayout, framesPerPartition: Int? = nil
    ) async throws(RunError) -> Acquisition {
        let frames = try await onThread("load") { () throws(RunError) in
            do throws(SystemError) {
                return try RawFile(path)
            } catch {
                throw .badRequest(error.description)
            }
        }
        return recorded(
            .memory(try MemoryFrames(frames, layout)), navShape: nil, margins: ScanMargins(),
            framesPerPartition: framesPerPartition)
    }

    private func recorded(
        _ source: LocalSource, navShape: [Int]?, margins: ScanMargins, framesPerPartition: Int?
    ) -> Acquisition {
        Acquisition(
            connection: nil, target: .local(source), mode: .active, navShape: navShape, margins: margins,
            framesPerPartition: framesPerPartition.map { max(1, $0) }, idleLimit: .seconds(2), trigger: .soft,
            hooks: AcquisitionHooks())
    }

    private static func array(_ path: String, navShape: [Int]?) throws(RunError) -> MemoryFrames {
        let array: ResultArray
        do throws(NumpyFileError) {
            array = try NumpyFile.read(path)
        } catch {
            throw .badRequest("\(path): \(error)")
        }
        guard let navShape, array.shape.count >= 3 else { return try MemoryFrames(array, named: path) }
        let frames = array.shape.dropLast(2).reduce(1, *)
        let scan: ResolvedScan
        do throws(NavShapeError) {
            scan = try NavShapeResolver(shape: navShape).resolve(frameCount: frames)
        } catch {
            throw .badRequest("\(path): \(error)")
        }
        guard scan.geometry.totalFrames == frames else {
            throw .badRequest("\(path): \(scan.warnings.joined(separator: "; "))")
        }
        let shape = scan.geometry.navShape.dimensions + array.shape.suffix(2)
        return try MemoryFrames(array.reshaped(shape), named: path)
    }
}
