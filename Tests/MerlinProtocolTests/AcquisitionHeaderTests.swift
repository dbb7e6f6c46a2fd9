import StemwireTestSupport
import Testing

@testable import MerlinProtocol

func acquisitionHeader(_ bytes: [UInt8]) throws(AcquisitionHeaderError) -> AcquisitionHeader {
    let result = bytes.withUnsafeBytes { body in
        Result { () throws(AcquisitionHeaderError) in try AcquisitionHeader.parse(body) }
    }
    return try result.get()
}

@Suite struct AcquisitionHeaderTests {
    static let newer = """
        HDR,\t\r
        Time and Date Stamp (day, mnth, yr, hr, min, s):\t15/04/2021 15:02:29\r
        Chip ID:\tW559_G11, - , - , - \r
        Assembly Size (NX1, 2X2):\t   2x2G\r
        Chip Mode  (SPM, CSM, CM, CSCM):\tSPM\r
        Counter Depth (number):\t12\r
        Thresholds (keV):\t2.000000E+0,5.110000E+2\r
        DACs:\t068,511; ; ; \r
        bpc File:\tc:\\MERLIN\\W559_SPM.bpc,,,\r
        Dead Time File:\tDummy (C:\\<NUL>\\)\r
        Frames in Acquisition (Number):\t8\r
        Frames per Trigger (Number):\t   4\r
        Sensor Bias (V):\t120 V\r
        ScanX:\t4\r
        ScanY:\t2\r
        End\t          \r

        """

    @Test func newerHeader() throws {
        let header = try acquisitionHeader(Array(Self.newer.utf8))
        #expect(header.warnings == [])
        #expect(header.framesInAcquisition == 8)
        #expect(header.framesPerTrigger == 4)
        #expect(header.counterDepth == .twelve)
        #expect(header.scanX == 4 && header.scanY == 2)
        #expect(header.sensorLayout == .quadWithGap)
        #expect(header["Chip ID"] == "W559_G11, - , - , -")
        #expect(header["bpc File"] == #"c:\MERLIN\W559_SPM.bpc,,,"#)
        #expect(header["Dead Time File"] == #"Dummy (C:\<NUL>\)"#)
        #expect(header["Time and Date Stamp"] == "15/04/2021 15:02:29")
        #expect(header.entries.count == 14)
        #expect(header.entries.first?.key == "Time and Date Stamp (day, mnth, yr, hr, min, s)")
        #expect(header.text == Array(Self.newer.utf8))
        #expect(!header.isUnbounded)
    }

    @Test func keysAreFoundHoweverSpelled() throws {
        let header = try acquisitionHeader(Array(Self.newer.utf8))
        #expect(header["Chip Mode  (SPM, CSM, CM, CSCM)"] == "SPM")
        #expect(header["chip mode"] == "SPM")
        #expect(header["Assembly Size (1X1, 2X2)"] == "2x2G")
        #expect(header["Sensor Bias (V, µA)"] == "120 V")
        #expect(header["Sensor"] == nil)
    }

    @Test func firstOfEqualKeysWins() throws {
        let frames = "Frames in Acquisition (Number):"
        let text = "HDR,\nGain:\tSLGM\nGain:\tHGM\n\(frames)\t1\n\(frames)\t2\nEnd"
        let header = try acquisitionHeader(Array(text.utf8))
        #expect(header["Gain"] == "SLGM")
        #expect(header.framesInAcquisition == 1)
        #expect(header.entries.count == 4)
    }

    @Test func nothingBehindEndIsRead() throws {
        let header = try acquisitionHeader(Array("HDR,\nGain:\tSLGM\nEnd\t  \nGain2:\tHGM\n".utf8))
        #expect(header.entries.count == 1)
    }

    @Test func oddNumbersAreWarnings() throws {
        let text = """
            HDR,
            Frames in Acquisition (Number):\tmany
            Frames per Trigger (Number):\t99999999999999999999
            Counter Depth (number):\t7
            Assembly Size (NX1, 2X2):\t5x5
            ScanX:\t-4
            End
            """
        let header = try acquisitionHeader(Array(text.utf8))
        #expect(header.framesInAcquisition == nil && header.framesPerTrigger == nil)
        #expect(header.counterDepth == nil && header.sensorLayout == nil && header.scanX == nil)
        #expect(header.warnings.count == 5)
    }

    @Test func hostileTextNeverTraps() throws {
        #expect(throws: AcquisitionHeaderError.notAHeader) { try acquisitionHeader([]) }
        #expect(throws: AcquisitionHeaderError.notAHeader) { try acquisitionHeader(Array("HD".utf8)) }
        let tooLong = Array("HDR,".utf8) + [UInt8](repeating: 10, count: 1 << 20)
        #expect(throws: AcquisitionHeaderError.tooLong(tooLong.count)) { try acquisitionHeader(tooLong) }
        let manyLines = Array("HDR,\n".utf8) + Array(repeatElement(Array("a:b\n".utf8), count: 9000).joined())
        #expect(try acquisitionHeader(manyLines).entries.count < 4096)
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<500 {
            var text = Array(Self.newer.utf8)
            for _ in 0..<8 {
                let index = Int.random(in: 4..<text.count, using: &generator)
                text[index] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try acquisitionHeader(text)
        }
    }
}
